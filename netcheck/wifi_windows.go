package netcheck

import (
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// wlanapi.dll is not there on servers without the Wireless LAN service.
var (
	wlanapi            = windows.NewLazySystemDLL("wlanapi.dll")
	wlanOpenHandle     = wlanapi.NewProc("WlanOpenHandle")
	wlanCloseHandle    = wlanapi.NewProc("WlanCloseHandle")
	wlanEnumInterfaces = wlanapi.NewProc("WlanEnumInterfaces")
	wlanQueryInterface = wlanapi.NewProc("WlanQueryInterface")
	wlanFreeMemory     = wlanapi.NewProc("WlanFreeMemory")
)

const (
	wlanConnected         = 1 // wlan_interface_state_connected
	wlanCurrentConnection = 7 // wlan_intf_opcode_current_connection
)

// wlanInterface is WLAN_INTERFACE_INFO, wlanList the head of its list, and
// wlanConnection WLAN_CONNECTION_ATTRIBUTES.
type wlanInterface struct {
	GUID        windows.GUID
	Description [256]uint16
	State       uint32
}

type wlanList struct {
	Count, Index uint32
	First        wlanInterface
}

type wlanConnection struct {
	State, Mode uint32
	Profile     [256]uint16
	SSIDLength  uint32
	SSID        [32]byte
	BSSType     uint32
	BSSID       [6]byte
	PHYType     uint32
	PHYIndex    uint32
	Quality     uint32 // 0 to 100: -100 to -50 dBm
	RxRate      uint32
	TxRate      uint32
	Security    uint32
	OneX        uint32
	Auth        uint32
	Cipher      uint32
}

// Radios asks the Wireless LAN service of its connected interfaces.
func (windowsSystem) Radios() ([]radio, error) {
	if wlanapi.Load() != nil {
		return nil, nil
	}
	names := map[string]string{}
	if err := adapters(func(a *windows.IpAdapterAddresses) {
		names[strings.ToUpper(windows.BytePtrToString(a.AdapterName))] = windows.UTF16PtrToString(a.FriendlyName)
	}); err != nil {
		return nil, err
	}
	var handle windows.Handle
	var version uint32
	if r, _, _ := wlanOpenHandle.Call(2, 0, uintptr(unsafe.Pointer(&version)), uintptr(unsafe.Pointer(&handle))); r != 0 {
		if windows.Errno(r) == windows.ERROR_SERVICE_NOT_ACTIVE {
			return nil, nil
		}
		return nil, os.NewSyscallError("wlanopenhandle", windows.Errno(r))
	}
	defer wlanCloseHandle.Call(uintptr(handle), 0)
	var list *wlanList
	if r, _, _ := wlanEnumInterfaces.Call(uintptr(handle), 0, uintptr(unsafe.Pointer(&list))); r != 0 {
		return nil, os.NewSyscallError("wlanenuminterfaces", windows.Errno(r))
	}
	defer wlanFreeMemory.Call(uintptr(unsafe.Pointer(list)))
	var out []radio
	for i := range unsafe.Slice(&list.First, list.Count) {
		k := unsafe.Slice(&list.First, list.Count)[i]
		if k.State != wlanConnected {
			continue
		}
		var size uint32
		var conn *wlanConnection
		if r, _, _ := wlanQueryInterface.Call(uintptr(handle), uintptr(unsafe.Pointer(&k.GUID)), wlanCurrentConnection, 0,
			uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(&conn)), 0); r != 0 || size < uint32(unsafe.Sizeof(*conn)) {
			continue // it has just left its network
		}
		out = append(out, radioOf(names[strings.ToUpper(k.GUID.String())], conn))
		wlanFreeMemory.Call(uintptr(unsafe.Pointer(conn)))
	}
	return out, nil
}

// radioOf turns DOT11_AUTH_ALGORITHM and DOT11_CIPHER_ALGORITHM into this package's words.
func radioOf(card string, c *wlanConnection) radio {
	r := radio{Card: card, Signal: int(c.Quality)/2 - 100}
	switch c.Auth {
	case 1:
		r.Auth = []string{authOpen}
		if c.Cipher != 0 {
			r.Auth = []string{authOld} // an open system with WEP keys
		}
	case 2, 3, 4, 5:
		r.Auth = []string{authOld}
	case 6, 11:
		r.Auth = []string{authEnterprise}
	case 7:
		r.Auth = []string{authPersonal2}
	case 8:
		r.Auth = []string{authSuiteB}
	case 9:
		r.Auth = []string{authPersonal3}
	case 10:
		r.Auth = []string{authOWE}
	}
	switch c.Cipher {
	case 1, 2, 5, 0x101:
		r.Cipher = []string{cipherOld}
	case 4, 8, 9, 10:
		r.Cipher = []string{cipherSound}
	}
	return r
}
