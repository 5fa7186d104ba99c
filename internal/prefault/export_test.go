package prefault

// For the tests, which live in a package of their own.
var GrowStack = growStack

const StackSize = stackSize
