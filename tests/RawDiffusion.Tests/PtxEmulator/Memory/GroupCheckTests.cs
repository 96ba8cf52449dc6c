using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.Tests;

/// <summary>Groups of lanes that are tested at once are judged like lanes that are tested one by one.</summary>
public sealed unsafe class GroupCheckTests
{
    private const int Words = 2048, Warps = 4;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void TheVerdictIsThatOfLanesOneByOne(int seed)
    {
        var random = new Random(seed);
        int faults = 0, passes = 0;
        for (int history = 0; history < 500; history++)
        {
            using var together = new Shadow();
            using var single = new Shadow();
            // Rare barriers lead to races, frequent ones to long histories without.
            double barriers = history % 2 == 0 ? 0.1 : 0.7;
            for (int step = 0; step < 40; step++)
            {
                if (random.NextDouble() < barriers)
                {
                    together.Order.SynchronizeAll();
                    single.Order.SynchronizeAll();
                    continue;
                }
                if (random.Next(8) == 0)
                {
                    int warp = random.Next(Warps);
                    together.Order.SynchronizeWarp(warp);
                    single.Order.SynchronizeWarp(warp);
                    continue;
                }
                var access = Pattern.Random(random);
                bool expected = single.AccessLanes(access, oneByOne: true), actual = together.AccessLanes(access, oneByOne: false);
                Assert.True(expected == actual, $"history {history}, step {step}: {access} is {(expected ? "right" : "wrong")}");
                if (!expected)
                {
                    faults++;
                    break;
                }
                passes++;
            }
        }
        // Both verdicts occur often, or the comparison shows nothing.
        Assert.True(faults > 50 && passes > 1000, $"{faults} faults, {passes} accesses without");
    }

    /// <summary>Groups of eight lanes: side by side, all the same, or anywhere.</summary>
    private sealed record Pattern(int Warp, AccessKind Kind, int Bytes, ulong[] Addresses, uint Mask)
    {
        public static Pattern Random(Random random)
        {
            int bytes = random.Next(6) switch { 0 => 1, 1 => 2, 2 => 8, 3 => 16, _ => 4 };
            var kind = random.Next(10) switch { 0 => AccessKind.Atomic, < 4 => AccessKind.Write, _ => AccessKind.Read };
            ulong[] addresses = new ulong[32];
            for (int group = 0; group < 32; group += 8)
            {
                int shape = random.Next(3), start = random.Next(Words * 4 / bytes - 8), previous = group;
                for (int lane = group; lane < group + 8; lane++)
                {
                    int place = shape switch { 0 => start + lane - previous, 1 => start, _ => random.Next(Words * 4 / bytes) };
                    // Atomics of fewer than 4 bytes do not exist; all share the widths here.
                    addresses[lane] = (ulong)(place * bytes);
                }
                if (group > 0 && random.Next(3) == 0)
                    Array.Copy(addresses, group - 8, addresses, group, 8);
            }
            return new Pattern(random.Next(Warps), kind, bytes, addresses, random.Next(4) == 0 ? (uint)random.NextInt64(1, 1L << 32) : uint.MaxValue);
        }

        public override string ToString() => $"{Kind} of {Bytes} bytes by warp {Warp}, mask {Mask:x8}, at {string.Join(' ', Addresses)}";
    }

    private sealed class Shadow : IDisposable
    {
        private readonly ByteBits _defined = new(4 * Words);
        private readonly RaceTable _races = new(4 * Words);
        private readonly byte[] _memory = new byte[4 * Words];

        public BlockOrder Order { get; } = new(Warps);

        /// <summary>Right (true) or wrong. One by one: every lane's access is an access of its own, at the same time.</summary>
        public bool AccessLanes(Pattern pattern, bool oneByOne)
        {
            // What is not written yet may not be read; here races are of interest.
            _defined.Fill(0, 4 * Words, true);
            if (!oneByOne)
                return Access(pattern, pattern.Mask);
            for (int lane = 0; lane < 32; lane++)
            {
                if ((pattern.Mask >> lane & 1) != 0 && !Access(pattern, 1u << lane))
                    return false;
            }
            return true;
        }

        public void Dispose()
        {
            _defined.Dispose();
            _races.Dispose();
        }

        private bool Access(Pattern pattern, uint mask)
        {
            fixed (ulong* addresses = pattern.Addresses)
            fixed (byte* memory = _memory)
            {
                var access = new WarpAccess
                {
                    Kind = pattern.Kind, Addresses = addresses, Mask = mask, Bytes = pattern.Bytes, Region = default, IsSynchronizing = false,
                    Pc = 7, Block = 3, FirstThread = 32 * pattern.Warp, Time = Order.Time(pattern.Warp), Order = Order,
                };
                return AccessCheck.Lanes(_defined, _races, 0, memory, 1, access, mask, out _);
            }
        }
    }
}
