package netcheck

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// On a line that loses much one connection may fail by chance while the question
// beneath the filter is answered: several are opened, and one is enough.
func TestALossyLineIsNoFilter(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lucky int32 // which of the connections comes about; 0: none
	}{{"the first", 1}, {"the last", 4}, {"none", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				c := &checker{connect: func(ctx context.Context, _, _ string) (net.Conn, error) {
					if asked.Add(1) == tt.lucky {
						here, there := net.Pipe()
						_ = there.Close()
						return here, nil
					}
					<-ctx.Done()
					return nil, errors.New("i/o timeout")
				}}
				ctx, cancel := context.WithTimeout(t.Context(), budgetFollowUp)
				defer cancel()
				began := time.Now()
				if got := c.anyTakes(ctx, "192.0.2.1:443"); got != (tt.lucky > 0) {
					t.Errorf("taken: %t", got)
				}
				if took := time.Since(began); tt.lucky > 0 && took > 0 || tt.lucky == 0 && took != budgetFollowUp {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
