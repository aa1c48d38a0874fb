// Package librarytest tests core with the WebSocket libraries that applications use. It is
// a module of its own, so that an importer of core does not depend on them.
package librarytest
