// Package librarytest tests fiberws with Fiber's own middleware that needs more
// modules than Fiber does. It is a module of its own, so that importing fiberws does
// not require them.
package librarytest
