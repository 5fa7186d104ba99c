package secret

import (
	"reflect"
	"unsafe"
)

// Wipe overwrites the state of another package's cipher that has no method for that:
// everything that x, or each field of x, points to. It leaves state that contains pointers
// alone, because that may be shared. The caller must not use x again.
func Wipe(x any) { wipe(reflect.ValueOf(x)) }

func wipe(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			wipe(v.Field(i))
		}
	case reflect.Pointer:
		if state := v.Type().Elem(); !v.IsNil() && isFlat(state) {
			clear(unsafe.Slice((*byte)(v.UnsafePointer()), state.Size()))
		}
	}
}

// isFlat reports whether values of type t have no pointers in them.
func isFlat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return isFlat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isFlat(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return reflect.Bool <= t.Kind() && t.Kind() <= reflect.Complex128
}
