"""What the machine has: processors, memory, disks, cards, and what its firmware says of it."""
