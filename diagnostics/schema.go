package diagnostics

import _ "embed"

// Schema is the JSON schema of a Report.
//
//go:embed diagnosis.schema.json
var Schema []byte
