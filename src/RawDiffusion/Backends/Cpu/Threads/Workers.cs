using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>A loop body for <see cref="Workers.For"/>. A struct, so that a parallel loop allocates nothing.</summary>
public interface IParallelBody
{
    /// <summary>
    /// Does item <paramref name="index"/>. <paramref name="worker"/> is in [0, <see cref="Workers.Count"/>) and used by one
    /// call at a time: an index for scratch memory.
    /// </summary>
    void Run(int index, int worker);
}

/// <summary>A loop body for <see cref="Workers.ForRange"/>.</summary>
public interface IRangeBody
{
    /// <summary>Does elements [start, end).</summary>
    void Run(int start, int end, int worker);
}

/// <summary>
/// The project's own pool of threads: one per core, spinning a short while for the next loop before they sleep. Each has
/// its own part of the items and helps the others when that is done, so which thread does an item varies, and results must not
/// depend on it.
/// </summary>
public static unsafe class Workers
{
    /// <summary>The largest number of threads that can be asked for.</summary>
    public const int MaxCount = 1024;

    /// <summary>How long an idle worker spins before it sleeps: longer than the managed code between two kernels of a step.</summary>
    private static readonly long s_spinTicks = Stopwatch.Frequency / 10_000;

    private static readonly Lock s_caller = new();
    private static readonly object s_gate = new();
    private static readonly List<Thread> s_threads = [];

    // The running loop. Written while no worker is joined, read by workers after they have joined.
    private static delegate*<void*, int, int, void> s_run;
    private static void* s_body;
    private static int s_items;
    private static int s_parts;

    // The next item of each part, a cache line apart so that threads do not fight over one.
    private const int CounterStride = 16;
    private static int[] s_next = [];

    private static ExceptionDispatchInfo? s_error;

    /// <summary>2^32 * ticket + 2^16 * (loop is open) + number of workers that have joined it.</summary>
    private static long s_state;
    private static int s_sleeping;

    private const long Open = 1 << 16;
    private const long JoinedMask = Open - 1;

    [ThreadStatic]
    private static int t_worker;

    [ThreadStatic]
    private static bool t_inside;

    /// <summary>Threads that share a loop, the caller included. RAWDIFFUSION_THREADS sets the start value, else the number of cores.</summary>
    public static int Count { get; private set; } = StartCount();

    /// <summary>Changes the number of threads. Results do not depend on it.</summary>
    public static void SetCount(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MaxCount);
        lock (s_caller)
            Count = count;
    }

    /// <summary>Runs <c>body.Run(i, worker)</c> for every i in [0, items), in parallel. A loop inside a loop runs on the thread it is on.</summary>
    public static void For<TBody>(int items, TBody body) where TBody : struct, IParallelBody
    {
        if (t_inside)
        {
            for (int i = 0; i < items; i++)
                body.Run(i, t_worker);
            return;
        }
        lock (s_caller)
        {
            t_inside = true;
            try
            {
                if (items <= 1 || Count == 1)
                {
                    for (int i = 0; i < items; i++)
                        body.Run(i, 0);
                }
                else
                {
                    Share(&Invoke<TBody>, Unsafe.AsPointer(ref body), items);
                }
            }
            finally
            {
                t_inside = false;
            }
        }
    }

    /// <summary>Runs body over [0, count) in pieces of <paramref name="grain"/> elements (the last may be shorter).</summary>
    public static void ForRange<TBody>(int count, int grain, TBody body) where TBody : struct, IRangeBody
    {
        if (count <= 0)
            return;
        For((int)(((long)count + grain - 1) / grain), new RangeBody<TBody>(count, grain, body));
    }

    private static void Share(delegate*<void*, int, int, void> run, void* body, int items)
    {
        while (s_threads.Count < Count - 1)
            StartThread();
        s_run = run;
        s_body = body;
        s_items = items;
        s_parts = Count;
        if (s_next.Length < s_parts * CounterStride)
            s_next = new int[s_parts * CounterStride];
        for (int part = 0; part < s_parts; part++)
            s_next[part * CounterStride] = Start(part);
        s_error = null;
        long ticket = (s_state >> 32) + 1;
        Interlocked.Exchange(ref s_state, ticket << 32 | Open);
        if (Volatile.Read(ref s_sleeping) > 0)
        {
            lock (s_gate)
                Monitor.PulseAll(s_gate);
        }
        Work(0);
        // Close the loop: who has not joined by now finds nothing left to do; then wait for those who have.
        Interlocked.And(ref s_state, ~Open);
        var spinner = new SpinWait();
        while ((Volatile.Read(ref s_state) & JoinedMask) != 0)
            spinner.SpinOnce(sleep1Threshold: -1);
        s_error?.Throw();
    }

    /// <summary>
    /// Does the items of the thread's own part, then what is left of the others'. In a chain of loops over the same rows a
    /// thread so finds the rows that it wrote before in its own cache.
    /// </summary>
    private static void Work(int worker)
    {
        try
        {
            for (int i = 0; i < s_parts; i++)
            {
                int part = (worker + i) % s_parts, end = Start(part + 1);
                ref int next = ref s_next[part * CounterStride];
                // Read first: a part that is used up costs no exclusive access to its counter.
                while (Volatile.Read(ref next) < end)
                {
                    int index = Interlocked.Increment(ref next) - 1;
                    if (index >= end)
                        break;
                    s_run(s_body, index, worker);
                }
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref s_error, ExceptionDispatchInfo.Capture(e), null);
            for (int part = 0; part < s_parts; part++)
                Interlocked.Exchange(ref s_next[part * CounterStride], s_items);
        }
    }

    /// <summary>The first item of a part.</summary>
    private static int Start(int part) => (int)((long)s_items * part / s_parts);

    private static void StartThread()
    {
        int worker = s_threads.Count + 1;
        var thread = new Thread(() => WorkerMain(worker)) { IsBackground = true, Name = $"RawDiffusion worker {worker}" };
        s_threads.Add(thread);
        thread.Start();
    }

    private static void WorkerMain(int worker)
    {
        t_worker = worker;
        t_inside = true;
        long seen = 0;
        while (true)
        {
            long state = WaitForLoop(seen);
            seen = state >> 32;
            if (worker >= Count || !TryJoin(seen))
                continue;
            Work(worker);
            Interlocked.Decrement(ref s_state);
        }
    }

    private static bool TryJoin(long ticket)
    {
        while (true)
        {
            long state = Volatile.Read(ref s_state);
            if (state >> 32 != ticket || (state & Open) == 0)
                return false;
            if (Interlocked.CompareExchange(ref s_state, state + 1, state) == state)
                return true;
        }
    }

    private static long WaitForLoop(long seen)
    {
        long state;
        long start = Stopwatch.GetTimestamp();
        do
        {
            for (int i = 0; i < 16; i++)
            {
                state = Volatile.Read(ref s_state);
                if (state >> 32 != seen)
                    return state;
                Thread.SpinWait(1);
            }
        }
        while (Stopwatch.GetTimestamp() - start < s_spinTicks);
        lock (s_gate)
        {
            Interlocked.Increment(ref s_sleeping);
            while ((state = Volatile.Read(ref s_state)) >> 32 == seen)
                Monitor.Wait(s_gate);
            Interlocked.Decrement(ref s_sleeping);
        }
        return state;
    }

    private static void Invoke<TBody>(void* body, int index, int worker) where TBody : struct, IParallelBody =>
        Unsafe.AsRef<TBody>(body).Run(index, worker);

    private static int StartCount()
    {
        string? asked = Environment.GetEnvironmentVariable("RAWDIFFUSION_THREADS");
        if (string.IsNullOrEmpty(asked))
            return Environment.ProcessorCount;
        return int.TryParse(asked, out int count) && count is >= 1 and <= MaxCount
            ? count
            : throw new ArgumentException($"RAWDIFFUSION_THREADS is '{asked}'; it must be a whole number from 1 to {MaxCount}.");
    }

    private readonly struct RangeBody<TBody>(int count, int grain, TBody body) : IParallelBody where TBody : struct, IRangeBody
    {
        public void Run(int index, int worker) => body.Run(index * grain, count - index * grain <= grain ? count : (index + 1) * grain, worker);
    }
}
