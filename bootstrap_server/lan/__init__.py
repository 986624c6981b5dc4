"""Network boot on a LAN: dnsmasq, and a mirror of what the nodes there fetch."""
