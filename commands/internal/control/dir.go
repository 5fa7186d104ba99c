package control

import "errors"

// ErrDir says that the folder for sockets is not safe to use.
var ErrDir = errors.New("control: the folder for sockets is not safe")
