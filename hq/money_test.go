package hq_test

import (
	"testing"

	"storehub/doors"
)

func TestCaptureGoesTheWholeWay(t *testing.T) {
	s := newShop(t)
	pi := s.authorised("1250")
	s.submit(op(doors.Capture, "op_1", pi, 1250))
	s.want("op_1", doors.Succeeded, "")
	s.exactly(pi, "captured", 1250)
}
