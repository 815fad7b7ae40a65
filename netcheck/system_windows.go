package netcheck

import (
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// windowsSystem adds resolvers and gateways, which GetAdaptersAddresses tells.
type windowsSystem struct{ portable }

func thisSystem() system { return windowsSystem{} }

func (windowsSystem) Routes() ([]route, error) {
	var out []route
	err := adapters(func(a *windows.IpAdapterAddresses) {
		for g := a.FirstGatewayAddress; g != nil; g = g.Next {
			if ip, ok := netip.AddrFromSlice(g.Address.IP()); ok && ip.Unmap().Is4() {
				out = append(out, route{Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: ip.Unmap(),
					Card: windows.UTF16PtrToString(a.FriendlyName), Metric: int(a.Ipv4Metric)})
			}
		}
	})
	return out, err
}

func (windowsSystem) Resolvers() ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	err := adapters(func(a *windows.IpAdapterAddresses) {
		if a.OperStatus != windows.IfOperStatusUp {
			return
		}
		for d := a.FirstDnsServerAddress; d != nil; d = d.Next {
			// fec0::/10 is what Windows lists when it knows no IPv6 resolver.
			if ip, ok := netip.AddrFromSlice(d.Address.IP()); ok && ip.Unmap().Is4() && len(out) < 3 {
				out = append(out, netip.AddrPortFrom(ip.Unmap(), 53))
			}
		}
	})
	return out, err
}

func adapters(each func(*windows.IpAdapterAddresses)) error {
	const flags = windows.GAA_FLAG_INCLUDE_PREFIX | windows.GAA_FLAG_INCLUDE_GATEWAYS
	size := uint32(15 << 10) // what the documentation advises to begin with
	for {
		buf := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		if err == nil {
			for a := first; a != nil; a = a.Next {
				each(a)
			}
			return nil
		}
		if err != windows.ERROR_BUFFER_OVERFLOW || size <= uint32(len(buf)) {
			return os.NewSyscallError("getadaptersaddresses", err)
		}
	}
}
