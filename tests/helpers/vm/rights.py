"""Programs for an agent: what runs on a node with which rights, and what another machine has open.

They need only the modules of a production release.
"""

LOOK = """
import json, os, stat, sys
sys.path.append("/usr/lib/zero-os")
from zinit.client.line import Client

LISTEN, LOOPBACK = "0A", ("0100007F", "0" * 24 + "01000000")
LISTENS = 0x10000  # the flag of /proc/net/unix
SKIPPED = {"/proc", "/sys", "/run/zero-os/flists", "/run/zero-os/blocks", "/test"}

def read(path):
    with open(path) as file:
        return file.read()

def fields(pid):
    pairs = (line.partition(":") for line in read(f"/proc/{pid}/status").splitlines())
    return {name: value.strip() for name, _, value in pairs}

def services():
    client = Client()
    pids = {name: client.status(name)["pid"] for name in client.list()}
    return {name: pid for name, pid in pids.items() if name.startswith("core-") and pid}

def users():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = fields(pid)
        except OSError:
            continue  # it has ended
        found.setdefault(words["Uid"].split()[0], []).append(words["Name"])
    return found

def ports():
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for line in read(f"/proc/net/{name}").splitlines()[1:]:
            words = line.split()
            address, _, port = words[1].partition(":")
            is_bound = words[3] == LISTEN if "tcp" in name else words[2].endswith(":0000")
            if is_bound and address not in LOOPBACK:
                found.add((name[:3], int(port, 16)))
    return sorted(found)

def sockets():
    rows = [line.split() for line in read("/proc/net/unix").splitlines()[1:]]
    return sorted({final(row[7]) for row in rows if len(row) > 7 and int(row[3], 16) & LISTENS})

def final(path):
    # The kernel knows a socket by the name that it had first (common/ipc/server.py renames it).
    folder, name = os.path.split(path)
    return f"{folder}/socket" if name.startswith(".socket.") else path

def entries(top, skipped):
    for folder, names, files in os.walk(top):
        here = [os.path.join(folder, name) for name in names]
        names[:] = [n for n, path in zip(names, here) if path not in skipped]
        for path in here + [os.path.join(folder, name) for name in files]:
            try:
                yield path, os.lstat(path)
            except OSError:
                pass  # it is gone

def look(found, top, skipped):
    for path, about in entries(top, skipped):
        shown = path[len(top.rstrip("/")):]
        mode = about.st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            found["setuid"].append(path)
        if about.st_uid:
            found["owned"].setdefault(str(about.st_uid), []).append(shown)
        if mode & stat.S_IWOTH:
            for kind, test in KINDS.items():
                if test(mode):
                    found[kind].append(shown)

KINDS = {
    "open_folders": stat.S_ISDIR,
    "open_files": stat.S_ISREG,
    "open_devices": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}
pids = services()
found = {"services": {name: fields(pid) for name, pid in pids.items()}}
found |= {"users": users(), "ports": ports(), "sockets": sockets()}
found |= {"setuid": [], "owned": {}, **{kind: [] for kind in KINDS}}
look(found, "/", SKIPPED)
for root in {os.readlink(f"/proc/{pid}/root") for pid in pids.values()}:
    own = {f"{root}/{name}" for name in ("dev", "proc", "run", "sys")}
    look(found, root, own)
for kind in KINDS:
    found[kind] = sorted(set(found[kind]))
found["users"] = {int(user): names for user, names in found["users"].items()}
print(json.dumps(found))
"""

# Prints the TCP ports of `host` to which a connection can be made: all ports are tried.
SCAN = """
import errno, json, select, socket
BATCH, WAIT_MS = 256, 3000

def begin(port):
    one = socket.socket()
    one.setblocking(False)
    return one, one.connect_ex(("{host}", port))

found = []
for start in range(1, 65536, BATCH):
    poll, waiting = select.poll(), {{}}
    for port in range(start, min(start + BATCH, 65536)):
        one, code = begin(port)
        if code == errno.EINPROGRESS:
            poll.register(one, select.POLLOUT)
            waiting[one.fileno()] = (one, port)
        else:
            one.close()
            if code == 0:
                found.append(port)
    while waiting and (events := poll.poll(WAIT_MS)):
        for number, _ in events:
            one, port = waiting.pop(number)
            poll.unregister(number)
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            one.close()
    for one, _ in waiting.values():
        one.close()
print(json.dumps(found))
"""

# Prints which of the UDP `ports` of `host` are open: the others are refused. A node refuses six at
# once, and then one in a second (icmp_ratelimit), so each is tried again.
SCAN_UDP = """
import json, select, socket
TRIES, PAUSE_S = 4, 1.5

def is_refused(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("{host}", port))
        for _ in range(TRIES):
            try:
                one.send(b"?")
                if select.select([one], [], [], PAUSE_S)[0]:
                    one.recv(1)
            except ConnectionRefusedError:
                return True
    return False

print(json.dumps([port for port in {ports} if not is_refused(port)]))
"""
