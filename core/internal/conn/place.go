package conn

// The bits of Conn.place: the shard of the registry in the lowest, then the number of
// the server (0 if it is not known), then the provenance.
const (
	placeShard  = 1<<placeServer - 1
	placeServer = 8
	MaxServers  = 1<<(placeOrigin-placeServer) - 1 // servers after that have number 0
	placeOrigin = 24
)

// Provenance says how a connection came to the guard, and so what is seen of it.
type Provenance uint32

const (
	Accepted       Provenance = iota // by a listener of the guard: everything is seen
	Reported                         // its server reported it: no bytes are seen
	SeenFromHijack                   // its server reported it: bytes are seen from the hijack on
	Unaccepted                       // first seen at a hijack, with Middleware alone: bytes from there on; not counted as accepted
)

// Provenance returns how c came to the guard.
func (c *Conn) Provenance() Provenance { return Provenance(c.place.Load() >> placeOrigin) }

// SetProvenance changes how c came to the guard.
func (c *Conn) SetProvenance(p Provenance) {
	for {
		old := c.place.Load()
		if c.place.CompareAndSwap(old, old&(1<<placeOrigin-1)|uint32(p)<<placeOrigin) {
			return
		}
	}
}

// Shard is a number to spread connections by.
func (c *Conn) Shard() uint32 { return c.place.Load() & placeShard }

// Server is the number of its server, 0 if it is not known.
func (c *Conn) Server() uint32 { return c.place.Load() >> placeServer & MaxServers }

// SetServer sets the number of its server.
func (c *Conn) SetServer(n uint32) {
	for {
		old := c.place.Load()
		if c.place.CompareAndSwap(old, old&^(MaxServers<<placeServer)|n<<placeServer) {
			return
		}
	}
}
