package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// The clock of a process agrees with the kernel's other figures.
func TestCPUOfThisProcess(t *testing.T) {
	rusage := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before, low := rusage(), rusage()
	for low-before < 50*time.Millisecond { // have some
		low = rusage()
	}
	for _, pid := range []int{0, os.Getpid()} {
		got, err := cpuOf(pid)
		if high := rusage(); err != nil || got < low-time.Millisecond || got > high+time.Millisecond {
			t.Errorf("process %d: %v, %v; want %v to %v", pid, got, err, low, high)
		}
	}
}

func TestCPUOfAnother(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	got, err := cpuOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	_ = cmd.Wait()
	whole := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if got <= 0 || got > whole+time.Millisecond || got < whole/2 {
		t.Errorf("%v before the end, %v in all", got, whole)
	}
	if _, err := cpuOf(cmd.Process.Pid); err == nil {
		t.Error("a process that is no more has CPU time")
	}
}
