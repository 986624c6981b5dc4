"""The verbs of `zos zdb` that work on files; one module per verb."""
