package main

import (
	"path/filepath"

	"storehub/hub"
	"storehub/internal/service"
)

// protect gives the hub's folders to its service alone, where there are access lists;
// those that the configuration may share with others only if they are the hub's own.
func (a *app) protect(cfg hub.Config) error {
	spec, err := hubService(a)
	if err != nil {
		return err
	}
	var folders []service.Folder
	if file := a.configFile(); file == defaultConfig() {
		folders = append(folders, service.Folder{Path: filepath.Dir(file)})
	}
	folders = append(folders, service.Folder{Path: cfg.StateDir, Write: true})
	if cfg.Personal.KeyFile == "" {
		folders = append(folders, service.Folder{Path: filepath.Dir(cfg.PersonalKeyFile()), Write: true})
	}
	return service.Protect(spec, folders...)
}
