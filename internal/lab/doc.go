// Package lab is a shop in a box for the doctor's exam: a LAN with hub, till and
// two readers, its router, its provider and a fake internet, made of network
// namespaces on one machine (Linux, root). Faults are put in one by one or in
// pairs, and the real program has to name them.
//
// Everything happens in a sealed copy of the calling program, in a network
// namespace without any way out: no packet of a lab can leave the machine, and
// with the copy's end every process and namespace of it is gone.
//
//	hub .21   pos .22   reader1 .31   reader2 .32   rogue (idle)
//	   \        |           |             |           /
//	    +-------+-------- br-lan ---------+----------+    br-guest (idle)
//	                        |                                 |
//	              lan0 .1 router: dnsmasq, nftables, NAT   guest0
//	                  wan0 198.18.0.2
//	                        |
//	                 198.18.0.1 isp 198.18.1.1
//	                        |
//	                 198.18.1.2 inet: DNS, HTTPS by SNI, HTTP, NTP
//
// The LAN is 192.168.50.0/24. The internet's addresses are those that RFC 2544
// sets aside for measuring, 198.18.0.0/15.
package lab
