// Package health runs the health checks of a server in the background and
// answers the health routes from what they last said.
//
//	checks := health.New(health.Config{})
//	err := checks.Add(
//		health.Check{Name: "db", Func: db.PingContext},
//		health.Check{Name: "cache", Func: health.Reply(rdb.Ping), Optional: true},
//		health.Check{Name: "migrations", Kind: health.Startup, Func: migrated},
//	)
//	guard, err := core.New(core.Config{Health: checks})
//
// # How it works
//
// Each check runs alone, at its own interval, never twice at once: a check
// that hangs holds up no route and no other check, and costs one goroutine
// however often it is due or asked for. A goroutine exists only while a check
// runs. A request runs nothing and waits for nothing; it reads one immutable
// snapshot that is replaced when a result comes in. The context of a check
// belongs to the checker: a prober that hangs up fails no check.
//
// A result has an age. A run that is over its timeout is a failure at once,
// whether or not it ever returns, and a check from which nothing has been
// heard for [Check.MaxAge] is stale, which is a failure whatever its
// thresholds say. A check that hangs therefore cannot stay green.
//
// # What the routes say
//
//	live     200; 503 while a Live check that is not optional fails. Draining,
//	         Ready and Startup checks never count.
//	ready    503 until the start is over, until every Ready check has passed
//	         once, while one fails or is stale, while draining, and after Close.
//	startup  503 until every Startup check has passed once, 200 from then on.
//	health   200; 503 only while draining. No check counts.
//
// A check that is optional makes none of them fail. The body is "ok" or one
// constant word, and the same bytes for as long as the state is the same. With
// application/health+json in Accept, or ?verbose, it is an object in the format
// of draft-inadarei-api-health-check-06; the checks are in it only where
// [core.HealthQuery.Details] is true, and the whole stays under 10 KB, which is
// what the kubelet reads. ?exclude=name, which may be repeated, leaves a check
// out of the verdict, as in the Kubernetes API server, for who may see the details:
// else anybody could ask which names there are and which of them fail. A name that
// is no check changes nothing.
//
// # What it does not do
//
// It does not wait in Close for checks that are running, it does not follow
// the application's own idea of health unless a check asks for it, and it
// cannot see that the function of a Live check depends on something outside
// the process: such a check makes the platform restart a healthy server
// because a database is away. Use Ready for those.
package health
