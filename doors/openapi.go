package doors

import _ "embed" // the description is a file of its own

// OpenAPI describes /v1 (OpenAPI 3.1). The hub serves it at /openapi.json.
//
//go:embed openapi.json
var OpenAPI []byte
