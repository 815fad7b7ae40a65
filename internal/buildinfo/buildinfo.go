// Package buildinfo tells which build of Store Hub this is.
package buildinfo

import (
	"runtime/debug"
)

// version is set by releases:
//
//	go build -ldflags "-X storehub/internal/buildinfo.version=1.4.0"
var version string

// Version is the release, else the module's version, else the revision it was
// built from with -dirty when the tree had changes, else "devel".
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return choose(version, info)
}

func choose(release string, info *debug.BuildInfo) string {
	switch {
	case release != "":
		return release
	case info == nil:
		return "devel"
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	if revision == "" {
		return "devel"
	}
	return revision + dirty
}
