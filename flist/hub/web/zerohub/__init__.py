"""The interface of upstream's 0-hub, as its clients (zflist, zos, scripts) use it."""
