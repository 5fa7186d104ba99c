package secret

import (
	"reflect"
	"unsafe"
)

// Wipe overwrites the state of a cipher of another package, which has no way to wipe itself:
// what x, or each field of x, points to. State that has pointers of its own is left alone,
// for it may be shared. The caller does not use x again.
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
