using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// Joins the rows of two arrays, or takes joined rows apart, in one pass. The long array is read or written in the order of memory:
/// joining channels of images one half after the other touches every line of it twice, which took twice as long.
/// </summary>
internal static unsafe class RowPairs
{
    /// <summary>Elements per piece of parallel work.</summary>
    private const int Grain = 16384;

    public static void Join(int rows, int left, int right, int* a, int* b, int* y) => Run<Zero>(rows, left, right, a, b, y);

    public static void Split(int rows, int left, int right, int* y, int* a, int* b) => Run<One>(rows, left, right, a, b, y);

    private static void Run<TSplits>(int rows, int left, int right, int* a, int* b, int* y) where TSplits : struct, IConstant
    {
        int width = left + right;
        if (width < Grain)
        {
            Workers.ForRange(rows, Math.Max(1, Grain / Math.Max(1, width)), new Body<TSplits>(left, right, a, b, y));
            return;
        }
        // Few and long rows, which are copied by many threads each.
        Shape whole = [rows, width];
        Move<TSplits>([rows, left], a, whole, [0, 0], y);
        Move<TSplits>([rows, right], b, whole, [0, left], y);
    }

    private static void Move<TSplits>(Shape part, int* x, Shape whole, ReadOnlySpan<int> start, int* y) where TSplits : struct, IConstant
    {
        if (TSplits.Value == 1)
            CopyKernels.Region(whole, start, y, part, [0, 0], x, part);
        else
            CopyKernels.Region(part, [0, 0], x, whole, start, y, part);
    }

    private readonly struct Body<TSplits>(int left, int right, int* a, int* b, int* y) : IRangeBody where TSplits : struct, IConstant
    {
        public void Run(int start, int end, int worker)
        {
            int* x0 = a + (nint)start * left, x1 = b + (nint)start * right, joined = y + (nint)start * (left + right);
            for (int row = start; row < end; row++, x0 += left, x1 += right, joined += left + right)
            {
                if (TSplits.Value == 1)
                {
                    Copy(joined, x0, left);
                    Copy(joined + left, x1, right);
                }
                else
                {
                    Copy(x0, joined, left);
                    Copy(x1, joined + left, right);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Copy(int* from, int* to, int count)
        {
            int i = 0;
            for (; i <= count - Vector256<int>.Count; i += Vector256<int>.Count)
                Vector256.Store(Vector256.Load(from + i), to + i);
            for (; i < count; i++)
                to[i] = from[i];
        }
    }
}
