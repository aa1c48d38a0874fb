// Package health runs the health checks of a server in the background and answers the
// health routes from their last results.
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
// Each check runs at its own interval and never twice at once. A check that hangs delays
// no route and no other check, and costs one goroutine however often it is due. A goroutine
// exists only while a check runs. A request runs no check and never waits; it reads one
// immutable snapshot, which each new result replaces. The context of a check belongs to
// the checker, so a prober that disconnects fails no check.
//
// A run that exceeds its timeout fails at once, whether or not it ever returns. A check
// without a result for [Check.MaxAge] is stale, which is a failure whatever its thresholds
// are. A check that hangs therefore cannot stay green.
//
// # What the routes answer
//
//	live     200; 503 while a Live check that is not optional fails. Draining,
//	         Ready and Startup checks never count.
//	ready    503 until every Startup and Ready check has passed once, while a
//	         Ready check fails or is stale, while draining, and after Close.
//	startup  503 until every Startup check has passed once, 200 from then on.
//	health   200; 503 only while draining. No check counts.
//
// An optional check fails no route. The body is "ok" or another constant text, and stays
// the same while the state does. With application/health+json in Accept, or ?verbose, it is
// an object in the format of draft-inadarei-api-health-check-06. It lists the checks only
// if [core.HealthQuery.Details] is true, and stays under 10 KB, which is what the kubelet
// reads. ?exclude=name, which may be repeated, leaves a check out of the verdict, as in the
// Kubernetes API server. It works only with Details, because it reveals which checks exist
// and fail. An unknown name changes nothing.
//
// # What it does not do
//
// Close does not wait for checks that are running. The application's own idea of health
// counts only if a check asks for it. The package cannot know whether a Live check depends
// on something outside the process; such a check makes the platform restart a healthy
// server when a database is down. Use Ready for those.
package health
