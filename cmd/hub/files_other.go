//go:build !unix

package main

// keepOwner has nothing to do: a new file inherits its directory's access list.
func keepOwner(string) error { return nil }

// syncDir has nothing to do: a rename is durable here when it returns.
func syncDir(string) error { return nil }
