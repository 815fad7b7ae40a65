//go:build !linux

package mdns

import "testing"

func TestMain(m *testing.M) { verify(m) }
