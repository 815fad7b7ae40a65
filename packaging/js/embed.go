// Package js is the tills' client as it is published, and a demo till that uses it.
package js

import "embed"

// Files are dist/*.js, built from src (`make js` says whether it still is), and till/*.
//
//go:embed dist/*.js till
var Files embed.FS
