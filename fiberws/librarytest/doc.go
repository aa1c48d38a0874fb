// Package librarytest tries fiberws with the middleware of Fiber itself that needs
// more modules than Fiber does, in a module of its own: who imports fiberws does not
// have to know of them.
package librarytest
