package hub

import (
	"context"
	"errors"
	"time"

	"storehub/hq"
	"storehub/offlinequeue"
)

const (
	// CodeUnable is the cause that headquarters is told of a hub that does not serve.
	CodeUnable = "hub_unable"

	unableTimeout = 5 * time.Second
	// unablePause is how long such a hub lives on, so that one which is started again
	// and again tells it a few times a minute. No till is kept waiting longer by it.
	unablePause = 5 * time.Second
)

// TellUnable tells headquarters why this hub does not serve: a disk that cannot be read,
// a port that another program has. It has no diagnosis to tell it with. That it could not
// be told is logged, and nothing else is done about it. Nobody is told of a second hub on a
// directory, since the first one serves; nor where headquarters is in the hub.
func TellUnable(ctx context.Context, cfg Config, p Parts, why error) {
	if cfg.HQ.Embedded || errors.Is(why, offlinequeue.ErrInUse) || ctx.Err() != nil {
		return
	}
	p.Log.Error("this hub does not serve", "err", why)
	client, err := newClient(cfg, p.Version, p.Machine)
	if err != nil {
		return // that is what is wrong, and nobody can be told
	}
	telling, cancel := context.WithTimeout(ctx, unableTimeout)
	defer cancel()
	now := time.Now().UTC().Truncate(time.Second)
	said := short(why.Error())
	if _, err := client.Report(telling, hq.Report{
		At: now, Version: short(p.Version), StartedAt: now, Verdict: "blocked", Unable: said,
		Causes:    []hq.ReportCause{{Code: CodeUnable, Severity: "critical", Title: "The hub does not serve", Since: now, Targets: []string{said}}},
		Checklist: []hq.ReportItem{},
	}); err != nil {
		p.Log.Warn("tell headquarters that this hub does not serve", "err", err)
	}
	pause(ctx, unablePause)
}
