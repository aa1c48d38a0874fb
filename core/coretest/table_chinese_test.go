package coretest

import (
	"regexp"
	"strings"
	"testing"
)

var note = regexp.MustCompile(`(?m)^(\d+\.) (.+)\.$`)

// inChinese is a table in Chinese. The names of the rows are those of the tests.
func inChinese(t *testing.T, table string) string {
	cells, notes, _ := strings.Cut(table, "\n\n")
	cells = strings.NewReplacer("| rows |", "| 规则 |", "n.a. ", "不适用 ", "unknown ", "不可知 ").Replace(cells)
	return cells + "\n\n" + note.ReplaceAllStringFunc(notes, func(line string) string {
		parts := note.FindStringSubmatch(line)
		if chinese[parts[2]] == "" {
			t.Errorf("table_chinese_test.go has no Chinese for %q", parts[2])
		}
		return parts[1] + " " + chinese[parts[2]] + "。"
	})
}

// chinese has the reasons of limits in Chinese.
var chinese = map[string]string{
	"fasthttp does not recover a panic of a handshake, which ends the process: `Guard.TLSListener` and `Serve` contain it":                      "fasthttp 不捕获握手中的 panic，进程会因此结束；`Guard.TLSListener` 和 `Serve` 会拦住它",
	"net/http reads 500 lines of a head since Go 1.27 (`http.Server.MaxHeaderValueCount`): `bad_request`, too_large":                            "从 Go 1.27 起 net/http 只读 500 行请求头（`http.Server.MaxHeaderValueCount`）：`bad_request`，too_large",
	"net/http reads 500 lines of a head since Go 1.27 (`http.Server.MaxHeaderValueCount`): `bad_request`, too_large, where the reason is known": "从 Go 1.27 起 net/http 只读 500 行请求头（`http.Server.MaxHeaderValueCount`）：`bad_request`，在能知道原因之处为 too_large",
	"fasthttp has no such hook":                                             "fasthttp 没有这个钩子",
	"fasthttp speaks only HTTP/1.1":                                         "fasthttp 只支持 HTTP/1.1",
	"contrib/websocket accepts every Origin by default; `Handler` does not": "contrib/websocket 在没有指定时放行所有 Origin；`Handler` 不会",
	"fasthttp does not report when a hijacked connection ends: sessions of the application's own library are followed with `Guard.Listener` or `Serve`, those of `Handler` always": "fasthttp 交出连接后不告知它何时结束：应用自己的库的会话要用 `Guard.Listener` 或 `Serve` 才能跟踪，`Handler` 的会话总能跟踪",
	"fasthttp/websocket serves a client that does not wait for the answer":                                                                                                         "fasthttp/websocket 会服务不等应答就发数据的客户端",
	"with Attach alone the bytes are not seen: a handshake cut by a reset looks like none, `tcp_probe`":                                                                            "仅用 Attach 时看不到字节：被 RST 打断的握手如同没有握手，`tcp_probe`",
	"with Attach alone the bytes are not seen: a handshake that stops half way looks like none, `idle_connect`":                                                                    "仅用 Attach 时看不到字节：中途停住的握手如同从未开始，`idle_connect`",
	"with Attach alone the bytes are not seen: plain HTTP is not recognized, `tls_failed`":                                                                                         "仅用 Attach 时看不到字节：不知道明文到来的是 HTTP，`tls_failed`",
	"fasthttp closes the connection without a plain answer":                                                                                                                        "fasthttp 直接关闭连接，不以明文应答",
	"net/http does not report why it refused bytes inside TLS: the reason is `unknown`":                                                                                            "net/http 不说明为何拒绝 TLS 之内到来的内容：原因是 `unknown`",
	"net/http does not report why it refused bytes that are not a request, and with Attach alone the bytes are not seen: the reason is `unknown`":                                  "net/http 不说明为何拒绝不成请求的内容，而仅用 Attach 时看不到字节：原因是 `unknown`",
	"fasthttp answers 408 where net/http closes":                                                                                                                                   "net/http 直接关闭之处，fasthttp 回 408",
	"fasthttp serves it as an ordinary request, `http`; since 1.77 at the latest it refuses it like net/http":                                                                      "fasthttp 把它当作普通请求来服务，`http`；最迟从 1.77 起与 net/http 一样拒绝",
	"fasthttp calls it malformed, 400":                                                                                                                      "fasthttp 视之为格式错误，400",
	"fasthttp serves it as an ordinary request, `http`":                                                                                                     "fasthttp 把它当作普通请求来服务，`http`",
	"fasthttp reads 4 KiB of a head (`fiber.Config.ReadBufferSize`): `bad_request`, too_large":                                                              "fasthttp 只读 4 KiB 的请求头（`fiber.Config.ReadBufferSize`）：`bad_request`，too_large",
	"contrib/websocket recovers panics without a report: set its RecoverHandler to `fiberws.Recover`":                                                       "contrib/websocket 自己 recover 且不告知任何人：把它的 RecoverHandler 设为 `fiberws.Recover`",
	"without `Guard.Listener`, only the server's background read sees a client that leaves before the hijack: the end may be `ended` instead of `vanished`": "没有 `Guard.Listener` 时，在劫持之前离开的客户端只有服务器自己的后台读取看得到：结束方式可能是 `ended` 而不是 `vanished`",
	"fasthttp closes the connection when the function returns":                                                                                              "函数返回时 fasthttp 就关闭连接",
	"contrib/websocket refuses it, so there is no bare server to compare with; with quietws it is served":                                                   "contrib/websocket 拒绝它，因此无从比较；用了 quietws 则能服务",
	"a health route of a middleware, such as Fiber's own healthcheck, is in no route table, and the line at the start says so":                              "由中间件提供的健康路由（例如 Fiber 自带的 healthcheck）不在任何路由表中：启动时的日志会说明这一点",
	"handlers of net/http return no error, and there is no error handler":                                                                                   "net/http 的处理函数不返回错误，也没有错误处理函数替它们应答",
}
