"""The addresses of the pages.

/                                    search, repositories, what was changed last
/<repo>, /<repo>/tags/<tag>          the flists of a repository, or of one of its tags
/<repo>/<name>.md                    a flist: how to mount it, who has signed it, its versions
/<repo>/<name>/files/<path>          what is in it; ?q= searches, ?version= is one version
/<repo>/<name>/raw/<path>            the content of a file
/<repo>/<name>/changes?from=&to=     the differences between two versions
/login                               the form of the session
/-/...                               files of the pages; what one changes with a form
"""
