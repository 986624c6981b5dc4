"""The zdb servers that hold pieces and metadata."""
