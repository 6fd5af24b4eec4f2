package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// bind copies the values into the fields that are tagged with their keys.
func (c *Config) bind() {
	bindFields(reflect.ValueOf(c).Elem(), "key", func(key string) string { return c.values[key].text })
}

// bindFields fills the tagged fields of a struct from canonical text. Text that
// the field's type cannot hold is a broken table, not a fault of the operator.
func bindFields(target reflect.Value, tag string, text func(key string) string) {
	for i := range target.NumField() {
		key, ok := target.Type().Field(i).Tag.Lookup(tag)
		if !ok {
			continue
		}
		if err := setField(target.Field(i), key, text(key)); err != nil {
			panic(fmt.Sprintf("config: field %s does not fit its row: %v", target.Type().Field(i).Name, err))
		}
	}
}

var durationType = reflect.TypeFor[time.Duration]()

func setField(field reflect.Value, key, text string) error {
	if field.Type() == durationType {
		d, err := duration(key, text)
		if err == nil {
			field.SetInt(int64(d))
		}
		return err
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		field.SetBool(text == "true")
	case reflect.Int16, reflect.Int32, reflect.Int64:
		if text == "" {
			return nil // a number that must be given and was not; finish refuses it
		}
		n, err := strconv.ParseInt(text, 10, field.Type().Bits())
		if err != nil {
			return err
		}
		field.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		field.SetFloat(f)
	case reflect.Slice:
		field.Set(reflect.ValueOf(splitList(text)))
	default:
		return fmt.Errorf("no way to fill kind %s", field.Kind())
	}
	return nil
}

// duration reads a number in the unit that the key ends in. What is longer than
// a time.Duration can say (292 years) becomes the longest; negative numbers,
// which mean "never" or "no limit", become -1.
func duration(key, text string) (time.Duration, error) {
	units := []struct {
		suffix string
		unit   time.Duration
	}{{".ms", time.Millisecond}, {".seconds", time.Second}, {".minutes", time.Minute}}
	for _, u := range units {
		if !strings.HasSuffix(key, u.suffix) {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
			return 0, err
		case n < 0:
			return -1, nil
		case n > math.MaxInt64/int64(u.unit):
			return math.MaxInt64, nil
		}
		return time.Duration(n) * u.unit, nil
	}
	return 0, fmt.Errorf("key has no unit of time: %s", key)
}
