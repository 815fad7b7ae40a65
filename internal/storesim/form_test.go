package storesim

import "net/url"

// form is a form of one field.
func form(key, value string) url.Values { return url.Values{key: {value}} }
