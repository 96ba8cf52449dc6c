using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Division of 32-bit integers by vectors, through double precision: the quotient of two such numbers differs from the next integer by
/// 2^-32 of itself at least, so rounding to 53 bits does not reach it. Division by zero is undefined in PTX; as NVIDIA's own routine here
/// the quotient is all ones and the remainder the dividend.
/// </summary>
internal static class IntegerDivision
{
    internal readonly struct Quotient : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b)
        {
            if (!Avx512F.IsSupported)
                return Each(a, b, static (x, y) => y == 0 ? uint.MaxValue : x / y);
            // The conversion yields all ones for infinities and NaN.
            return Vector512.Create(Half(a.GetLower(), b.GetLower()), Half(a.GetUpper(), b.GetUpper()));
        }

        private static Vector256<uint> Half(Vector256<uint> a, Vector256<uint> b) =>
            Avx512F.ConvertToVector256UInt32WithTruncation(Avx512F.ConvertToVector512Double(a) / Avx512F.ConvertToVector512Double(b));
    }

    internal readonly struct QuotientSigned : IBinary<int>
    {
        public static Vector512<int> Invoke(Vector512<int> a, Vector512<int> b)
        {
            if (!Avx512F.IsSupported)
                return Each(a.AsUInt32(), b.AsUInt32(), static (x, y) => y == 0 ? uint.MaxValue : (int)y == -1 ? 0 - x : (uint)((int)x / (int)y)).AsInt32();
            // The least integer by -1 is out of range, and becomes itself.
            Vector512<int> quotient = Vector512.Create(Half(a.GetLower(), b.GetLower()), Half(a.GetUpper(), b.GetUpper()));
            return quotient | Vector512.Equals(b, Vector512<int>.Zero);
        }

        private static Vector256<int> Half(Vector256<int> a, Vector256<int> b) =>
            Avx512F.ConvertToVector256Int32WithTruncation(Avx512F.ConvertToVector512Double(a) / Avx512F.ConvertToVector512Double(b));
    }

    internal readonly struct Remainder : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) => a - Quotient.Invoke(a, b) * b;
    }

    internal readonly struct RemainderSigned : IBinary<int>
    {
        public static Vector512<int> Invoke(Vector512<int> a, Vector512<int> b) => a - QuotientSigned.Invoke(a, b) * b;
    }

    private static Vector512<uint> Each(Vector512<uint> a, Vector512<uint> b, Func<uint, uint, uint> operation)
    {
        Span<uint> result = stackalloc uint[16];
        for (int k = 0; k < 16; k++)
            result[k] = operation(a[k], b[k]);
        return Vector512.Create<uint>(result);
    }
}
