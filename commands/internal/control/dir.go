package control

import "errors"

// ErrDir says that the folder for sockets cannot be trusted.
var ErrDir = errors.New("control: the folder for sockets is not safe")
