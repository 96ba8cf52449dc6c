namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Products of 24 bits (mul24, mad24) and sums of absolute differences (sad).</summary>
internal static class RareIntegers
{
    internal readonly struct Multiply24 : IScalar<uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b) => (a & 0xFFFFFF) * (b & 0xFFFFFF);
    }

    internal readonly struct Multiply24High : IScalar<uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b) => (uint)(((ulong)(a & 0xFFFFFF) * (b & 0xFFFFFF)) >> 16);
    }

    internal readonly struct Multiply24Signed : IScalar<int, int, int>
    {
        public static int Invoke(int a, int b) => (a << 8 >> 8) * (b << 8 >> 8);
    }

    internal readonly struct Multiply24HighSigned : IScalar<int, int, int>
    {
        public static int Invoke(int a, int b) => (int)(((long)(a << 8 >> 8) * (b << 8 >> 8)) >> 16);
    }

    internal readonly struct SumOfDifferences16 : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b, uint c) => (c + (a > b ? a - b : b - a)) & 0xFFFF;
    }

    internal readonly struct SumOfDifferencesSigned16 : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b, uint c) => (c + (uint)Math.Abs((short)a - (short)b)) & 0xFFFF;
    }

    internal readonly struct SumOfDifferences32 : IScalar<uint, uint, uint, uint>
    {
        public static uint Invoke(uint a, uint b, uint c) => c + (a > b ? a - b : b - a);
    }

    internal readonly struct SumOfDifferencesSigned32 : IScalar<int, int, int, int>
    {
        public static int Invoke(int a, int b, int c) => c + (a > b ? a - b : b - a);
    }

    internal readonly struct SumOfDifferences64 : IScalar<ulong, ulong, ulong, ulong>
    {
        public static ulong Invoke(ulong a, ulong b, ulong c) => c + (a > b ? a - b : b - a);
    }

    internal readonly struct SumOfDifferencesSigned64 : IScalar<long, long, long, long>
    {
        public static long Invoke(long a, long b, long c) => c + (a > b ? a - b : b - a);
    }
}
