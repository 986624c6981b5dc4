"""iPXE's settings that a script works with."""

from bootstrap_server.script.commands import Ref

KERNEL, INITRAMFS = "vmlinuz", "initramfs.zst"  # iPXE's names of what it has fetched
BASE = Ref("base")  # the server that is being asked
CODE = Ref("code")  # the reason to show if nothing comes of it
ERROR = Ref("error")  # iPXE's own, of the last download
CARD = Ref("card")
ADDRESS, GATEWAY = Ref(CARD, "/ip"), Ref(CARD, "/gateway")
ADDRESS6, GATEWAY6 = Ref(CARD, "/ip6"), Ref(CARD, "/gateway6")
MAC = Ref(CARD, "/mac")
INDEX, ROUND, TRY = Ref("index"), Ref("round"), Ref("try")
PARAMETERS = Ref("release_parameters")  # those of the release that is booted
WHOLE = Ref("whole")  # set if the kernel has its initramfs inside
INITRD = Ref("initrd")  # the word by which the kernel finds its initramfs
LAST_ERROR = Ref("errno:hexraw")
