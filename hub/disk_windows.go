package hub

import "golang.org/x/sys/windows"

// diskFree is how much the hub may still write where dir is.
func diskFree(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, 1<<62)), nil
}

// diskReadOnly is whether the volume of dir takes no writes.
func diskReadOnly(dir string) (bool, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return false, err
	}
	root := make([]uint16, windows.MAX_PATH+1)
	if err := windows.GetVolumePathName(name, &root[0], uint32(len(root))); err != nil {
		return false, err
	}
	var flags uint32
	if err := windows.GetVolumeInformation(&root[0], nil, 0, nil, nil, &flags, nil, 0); err != nil {
		return false, err
	}
	return flags&windows.FILE_READ_ONLY_VOLUME != 0, nil
}
