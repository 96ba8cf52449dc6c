using System.Numerics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// mma.sync and ldmatrix. Matrices are spread over the lanes of a warp as the PTX manual draws it: with g = lane / 4 and t = lane % 4, a
/// lane holds of A the rows g and g + 8, of B the column g, of C the rows g and g + 8 in the columns 2t and 2t + 1.
/// </summary>
internal static unsafe class Matrices
{
    public static nint Select(in Instruction i)
    {
        switch (i.Opcode)
        {
            case Opcode.Ldmatrix:
                return i.Vector is 1 or 2 or 4 && i.Type is PtxType.B16 ? At(&Load) : 0;
            case Opcode.Stmatrix:
                return i.Vector is 1 or 2 or 4 && i.Type is PtxType.B16 ? At(&Store) : 0;
        }
        var shape = (MmaShape)i.Mode;
        return (i.SourceType, i.Type, shape) switch
        {
            (PtxType.F16, PtxType.F32, MmaShape.M16N8K8 or MmaShape.M16N8K16) => At(&Multiply),
            (PtxType.F16, PtxType.F16, MmaShape.M16N8K8 or MmaShape.M16N8K16) => At(&Multiply),
            (PtxType.BF16, PtxType.F32, MmaShape.M16N8K8 or MmaShape.M16N8K16) => At(&Multiply),
            (PtxType.TF32, PtxType.F32, MmaShape.M16N8K4 or MmaShape.M16N8K8) => At(&Multiply),
            (PtxType.F64, PtxType.F64, MmaShape.M8N8K4) => At(&MultiplyDouble),
            _ => 0,
        };
    }

    private static void RequireWarp(Warp w, Instruction* i, uint mask)
    {
        if (mask != Lanes.All)
            throw w.Fault(HazardKind.InvalidMemberMask, i, mask, $"{i->Opcode} needs all 32 lanes of the warp together, not 0x{mask:x8}");
    }

    private static void Multiply(Warp w, Instruction* i, uint mask)
    {
        RequireWarp(w, i, mask);
        int depth = (MmaShape)i->Mode switch { MmaShape.M16N8K4 => 4, MmaShape.M16N8K8 => 8, _ => 16 };
        bool tf32 = i->SourceType == PtxType.TF32, toHalf = i->Type == PtxType.F16;
        // A register of A and B holds two 16-bit elements side by side, or one tf32.
        int registersA = depth * 16 / 32 / (tf32 ? 1 : 2), registersB = registersA / 2, registersC = toHalf ? 2 : 4;
        int* d = w.Operands + i->List, a = d + registersC, b = a + registersA, c = b + registersB;
        (TensorCore.Operands rows, TensorCore.Operands columns) = w.Fragments ??= (new TensorCore.Operands(16 * 16), new TensorCore.Operands(8 * 16));
        for (int lane = 0; lane < 32; lane++)
        {
            int g = lane >> 2, t = lane & 3;
            for (int r = 0; r < registersA; r++)
            {
                uint bits = ((uint*)(w.R + a[r]))[lane];
                int row = g + 8 * (r & 1), block = r >> 1;
                if (tf32)
                    rows.Tf32(row * depth + 4 * block + t, bits);
                else
                    Pair(i, rows, row * depth + 8 * block + 2 * t, bits);
            }
            for (int r = 0; r < registersB; r++)
            {
                uint bits = ((uint*)(w.R + b[r]))[lane];
                if (tf32)
                    columns.Tf32(g * depth + 4 * r + t, bits);
                else
                    Pair(i, columns, g * depth + 8 * r + 2 * t, bits);
            }
        }
        bool hopper = w.Block.Options.TensorCores == TensorCoreGeneration.Hopper;
        int step = hopper ? depth : Math.Min(depth, tf32 ? 4 : 8), fraction = hopper ? 25 : 24;
        uint* results = (uint*)w.Scratch;
        for (int lane = 0; lane < 32; lane++)
        {
            int g = lane >> 2, t = lane & 3;
            for (int e = 0; e < 4; e++)
            {
                int row = g + 8 * (e >> 1), column = 2 * t + (e & 1);
                float sum = toHalf
                    ? HalfVectors.FromHalf(((uint*)(w.R + c[e >> 1]))[lane] >> (16 * (e & 1)) & 0xFFFF) : ((float*)(w.R + c[e]))[lane];
                for (int k = 0; k < depth; k += step)
                    sum = TensorCore.Step(rows, row * depth + k, columns, column * depth + k, step, sum, fraction, toHalf);
                if (!toHalf)
                    results[32 * e + lane] = BitConverter.SingleToUInt32Bits(sum);
                else if ((e & 1) == 0)
                    results[32 * (e >> 1) + lane] = HalfVectors.ToHalf(sum);
                else
                    results[32 * (e >> 1) + lane] |= HalfVectors.ToHalf(sum) << 16;
            }
        }
        for (int r = 0; r < registersC; r++)
            new Span<uint>(results + 32 * r, 32).CopyTo(new Span<uint>(w.R + d[r], 32));
    }

    private static void Pair(Instruction* i, TensorCore.Operands operands, int at, uint bits)
    {
        if (i->SourceType == PtxType.BF16)
        {
            operands.Brain(at, bits & 0xFFFF);
            operands.Brain(at + 1, bits >> 16);
        }
        else
        {
            operands.Half(at, bits & 0xFFFF);
            operands.Half(at + 1, bits >> 16);
        }
    }

    /// <summary>Double precision is IEEE arithmetic: a chain of fused multiply-adds.</summary>
    private static void MultiplyDouble(Warp w, Instruction* i, uint mask)
    {
        RequireWarp(w, i, mask);
        int* list = w.Operands + i->List;
        double* a = (double*)(w.R + list[2]), b = (double*)(w.R + list[3]);
        double* results = stackalloc double[64];
        for (int lane = 0; lane < 32; lane++)
        {
            for (int e = 0; e < 2; e++)
            {
                int row = lane >> 2, column = 2 * (lane & 3) + e;
                double sum = ((double*)(w.R + list[4 + e]))[lane];
                for (int k = 0; k < 4; k++)
                    sum = Math.FusedMultiplyAdd(a[4 * row + k], b[4 * column + k], sum);
                results[32 * e + lane] = sum;
            }
        }
        for (int e = 0; e < 2; e++)
            new Span<double>(results + 32 * e, 32).CopyTo(new Span<double>(w.R + list[e], 32));
    }

    /// <summary>Lanes 8m ... 8m + 7 give the addresses of the eight rows of matrix m: 16 bytes each.</summary>
    private static void Rows(Warp w, Instruction* i, uint mask, bool write)
    {
        RequireWarp(w, i, mask);
        uint used = i->Vector == 4 ? Lanes.All : (1u << (8 * i->Vector)) - 1;
        AddressSpaces.Prepare(w, i, used, 16);
        if (i->Space == StateSpace.Shared)
            SharedSpace.Each(w, i, used, 16, write);
        else
            GenericSpace.Each(w, i, used, 16, write);
    }

    private static void Load(Warp w, Instruction* i, uint mask)
    {
        Rows(w, i, mask, false);
        bool transposed = i->Has(InstructionFlags.Transposed);
        for (int m = 0; m < i->Vector; m++)
        {
            uint* d = (uint*)(w.R + w.Operands[i->List + m]);
            for (int lane = 0; lane < 32; lane++)
            {
                int g = lane >> 2, t = lane & 3;
                d[lane] = transposed
                    ? *((ushort*)w.Addresses[8 * m + 2 * t] + g) | (uint)*((ushort*)w.Addresses[8 * m + 2 * t + 1] + g) << 16
                    : *((uint*)w.Addresses[8 * m + g] + t);
            }
        }
    }

    private static void Store(Warp w, Instruction* i, uint mask)
    {
        Rows(w, i, mask, true);
        bool transposed = i->Has(InstructionFlags.Transposed);
        for (int m = 0; m < i->Vector; m++)
        {
            uint* s = (uint*)(w.R + w.Operands[i->List + m]);
            for (int lane = 0; lane < 32; lane++)
            {
                int g = lane >> 2, t = lane & 3;
                if (transposed)
                {
                    *((ushort*)w.Addresses[8 * m + 2 * t] + g) = (ushort)s[lane];
                    *((ushort*)w.Addresses[8 * m + 2 * t + 1] + g) = (ushort)(s[lane] >> 16);
                }
                else
                    *((uint*)w.Addresses[8 * m + g] + t) = s[lane];
            }
        }
    }
}
