package hq

import _ "embed"

// OpenAPI describes the wire between hub and headquarters (OpenAPI 3.1), for whoever
// writes a headquarters of their own. Ours serves it at /openapi.json.
//
//go:embed openapi.json
var OpenAPI []byte
