package service

import (
	"fmt"
	"os"

	"storehub/systemd"
)

// Hub is the service of a shop's hub: `EXECUTABLE serve --config CONFIG`. An
// empty executable is this program.
func Hub(executable, config string) (Spec, error) {
	return spec(Spec{
		Name:        "storehub",
		DisplayName: "Store Hub",
		Description: "Keeps Stripe Terminal working in this shop.",
		Executable:  executable,
	}, systemd.Hub, config)
}

// HQ is the service of headquarters.
func HQ(executable, config string) (Spec, error) {
	return spec(Spec{
		Name:        "storehub-hq",
		DisplayName: "Store Hub headquarters",
		Description: "Holds the Stripe keys and the ledger of all shops.",
		Executable:  executable,
	}, systemd.HQ, config)
}

func spec(s Spec, unit, config string) (Spec, error) {
	var err error
	if s.Executable == "" {
		if s.Executable, err = os.Executable(); err != nil {
			return Spec{}, fmt.Errorf("find this program's file: %w", err)
		}
	}
	s.Arguments = []string{"serve", "--config", config}
	s.Unit, err = systemd.For(unit, s.Executable, config)
	return s, err
}
