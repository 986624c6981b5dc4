"""Operations on all blocks of a flist or of a folder: clone, prefetch, convert, collect garbage."""
