package mdns

import (
	"testing"

	"go.uber.org/goleak"
)

// verify runs the tests and looks for goroutines that stayed.
func verify(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The library announces twice in the background and ends by itself within
		// four seconds, registered or not.
		goleak.IgnoreAnyFunction("github.com/grandcat/zeroconf.(*Server).probe"))
}
