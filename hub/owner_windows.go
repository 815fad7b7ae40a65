package hub

import "io/fs"

// ownedByUs: Windows' temporary directory is the user's own.
func ownedByUs(fs.FileInfo) bool { return true }
