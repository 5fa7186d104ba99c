package secret

import (
	"reflect"
	"unsafe"
)

// Wipe overwrites the state of another package's cipher that has no method for that:
// everything that x, or each field of x, points to. Of state that contains pointers itself it
// overwrites the arrays, and what the pointers point to if that contains none. Slices it leaves
// alone, because they may be shared. The caller must not use x again.
func Wipe(x any) { wipe(reflect.ValueOf(x), false) }

// wipe overwrites what v points to, or each field of v. Within state it overwrites arrays too,
// and follows only the pointers to state without pointers.
func wipe(v reflect.Value, within bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			wipe(v.Field(i), within)
		}
	case reflect.Array:
		if within && isFlat(v.Type()) {
			clear(unsafe.Slice((*byte)(unsafe.Pointer(v.UnsafeAddr())), v.Type().Size()))
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if state := v.Type().Elem(); isFlat(state) {
			clear(unsafe.Slice((*byte)(v.UnsafePointer()), state.Size()))
		} else if !within {
			wipe(v.Elem(), true)
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
