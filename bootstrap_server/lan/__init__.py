"""Network boot on a LAN: DHCP and TFTP by dnsmasq, HTTP Boot, and a mirror of what nodes fetch."""
