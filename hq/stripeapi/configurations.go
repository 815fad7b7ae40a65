package stripeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"storehub/hq"
)

// versionWithPasscode is the API version that tells and takes a reader's admin
// passcode: it is in preview versions only.
const versionWithPasscode = "2025-08-27.preview"

const (
	configurationsPath = "/v1/terminal/configurations"
	locationsPath      = "/v1/terminal/locations"
)

// Configuration reads a Location's own Configuration, if it has one, and the
// account's default beneath it.
func (a *API) Configuration(ctx context.Context, account, location string) (hq.Configuration, error) {
	var k hq.Configuration
	b, err := a.get(ctx, account, locationsPath+"/"+url.PathEscape(location), nil)
	if err != nil {
		return k, err
	}
	if k.ID, err = overrides(b); err != nil {
		return k, err
	}
	if k.ID != "" {
		if k.Own, err = a.get(ctx, account, configurationsPath+"/"+url.PathEscape(k.ID), nil); err != nil {
			return k, err
		}
	}
	b, err = a.get(ctx, account, configurationsPath, url.Values{"is_account_default": {"true"}, "limit": {"1"}})
	if err != nil {
		return k, err
	}
	var list page
	if err := json.Unmarshal(b, &list); err != nil {
		return k, fmt.Errorf("read Stripe's Configurations: %w", err)
	}
	if len(list.Data) > 0 {
		k.Default = list.Data[0]
	}
	return k, nil
}

func (a *API) get(ctx context.Context, account, path string, form url.Values) (json.RawMessage, error) {
	return a.do(ctx, request{method: http.MethodGet, path: path, account: account, version: versionWithPasscode, form: form})
}

func overrides(location json.RawMessage) (string, error) {
	var l struct {
		Configuration string `json:"configuration_overrides"`
	}
	if err := json.Unmarshal(location, &l); err != nil {
		return "", fmt.Errorf("read Stripe's Location: %w", err)
	}
	return l.Configuration, nil
}

// LocationsWith lists the Locations that have a Configuration for their own.
func (a *API) LocationsWith(ctx context.Context, account, configuration string) ([]string, error) {
	list, err := a.pages(ctx, request{method: http.MethodGet, path: locationsPath, account: account, version: a.version})
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, b := range list {
		has, err := overrides(b)
		if err != nil {
			return nil, err
		}
		if has != configuration {
			continue
		}
		id, err := idOf(b)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Configure changes a Configuration, or makes one if id is empty, and returns its id.
func (a *API) Configure(ctx context.Context, account, id, key string, form url.Values) (string, error) {
	path := configurationsPath
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	b, err := a.do(ctx, request{method: http.MethodPost, path: path, account: account, version: versionWithPasscode, key: key, form: form})
	if err != nil {
		return "", err
	}
	return idOf(b)
}

// Assign makes a Configuration a Location's own.
func (a *API) Assign(ctx context.Context, account, location, configuration, key string) error {
	_, err := a.do(ctx, request{method: http.MethodPost, path: locationsPath + "/" + url.PathEscape(location), account: account,
		version: a.version, key: key, form: url.Values{"configuration_overrides": {configuration}}})
	return err
}
